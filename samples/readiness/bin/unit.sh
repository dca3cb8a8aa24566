# Stands for `cargo nextest run --profile ci`, which writes such a file.
mkdir -p results
cat > results/unit.xml <<'XML'
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="sample" tests="3" failures="0" errors="0">
    <testsuite name="sample" tests="3" disabled="0" errors="0" failures="0">
        <testcase name="emits" classname="sample" time="0.001"/>
        <testcase name="settles" classname="sample" time="0.002"/>
        <testcase name="balances" classname="sample" time="0.001"/>
    </testsuite>
</testsuites>
XML
