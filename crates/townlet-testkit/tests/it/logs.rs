use townlet_testkit::logged;

#[test]
fn what_a_thread_logs_is_text_with_its_fields() {
    let log = logged(|| tracing::warn!(endpoint = "x:1", "something_happened"));
    assert!(log.contains("WARN") && log.contains("something_happened endpoint=\"x:1\""), "{log}");
    assert_eq!(logged(|| {}), "");
}
