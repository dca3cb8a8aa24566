//! The shipped configurations load.

use std::path::Path;

use townlet_config::Loader;

use crate::support::Registered;

#[test]
fn every_shipped_configuration_loads_without_a_warning() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/configs");
    let built_in = ["stdout", "file", "tcp", "http", "websocket", "prometheus", "otlp", "nats"].map(Registered);
    let loader = built_in.iter().fold(Loader::new(), |loader, factory| loader.factory(factory));
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        // Certificates come with the deployment.
        match loader.clone().skip_files().load_file(&path) {
            Ok(loaded) => {
                assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
                let cadence = loaded.validate_cadence(1000.0, 12_000);
                assert!(cadence.is_empty(), "{}: {:?}", path.display(), cadence);
            }
            Err(found) => panic!("{found}"),
        }
        seen.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    seen.sort();
    let expected = ["file", "http", "hybrid", "nats", "otlp", "prometheus", "spill", "stdout", "tls_demo", "websocket"];
    assert_eq!(seen, expected.map(|name| format!("{name}.yaml")));
}

#[test]
fn the_tls_sample_loads_with_a_ca_beside_it_and_not_without() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/configs/tls_demo.yaml");
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("tls_demo.yaml");
    std::fs::copy(sample, &copy).unwrap();
    let tcp = Registered("tcp");
    let loader = Loader::new().factory(&tcp);
    let found = loader.load_file(&copy).unwrap_err();
    let keys: Vec<_> = found.iter().map(|d| d.key.as_str()).collect();
    assert_eq!(keys, ["telemetry.transport.ca_file"]);
    std::fs::create_dir(folder.path().join("tls")).unwrap();
    std::fs::write(folder.path().join("tls/ca.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    assert!(loader.load_file(&copy).is_ok());
}
