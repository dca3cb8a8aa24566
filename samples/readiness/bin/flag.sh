# Sets a flag, or reads whether it is what it should be.
mkdir -p results
case "$1" in
read) [ "$(cat "$FLAG_FILE")" = "$2" ] ;;
*) echo "$1" > "$FLAG_FILE" ;;
esac
