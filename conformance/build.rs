//! Compiles the conformance suite's protos, without `protoc`.
//!
//! The protos are not committed. They are found in `CONFORMANCE_PROTO_DIR`, else in the suite's Go module,
//! which the `go` command fetches into its cache.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use prost::Message as _;

/// The suite's release, shared with the `run` script.
const SUITE_VERSION: &str = include_str!("suite-version");

/// The folder of the protos below their include root, as their own imports spell it.
const PACKAGE_DIR: &str = "connectrpc/conformance/v1";

const PROTOS: [&str; 4] = ["config.proto", "service.proto", "client_compat.proto", "server_compat.proto"];

fn main() {
    if let Err(error) = compile() {
        println!("cargo::error={error}");
    }
}

fn compile() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=suite-version");
    println!("cargo::rerun-if-env-changed=CONFORMANCE_PROTO_DIR");

    let root = include_root()?;
    let protos = PROTOS.map(|name| root.join(PACKAGE_DIR).join(name));
    for proto in &protos {
        println!("cargo::rerun-if-changed={}", proto.display());
    }

    let descriptors = protox::compile(&protos, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;

    prost_build::Config::new()
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com")
        .compile_fds(descriptors)?;
    Ok(())
}

/// The directory that imports such as `connectrpc/conformance/v1/config.proto` are relative to.
fn include_root() -> Result<PathBuf, String> {
    let (dir, origin) = match env::var_os("CONFORMANCE_PROTO_DIR") {
        Some(dir) => (PathBuf::from(dir), "CONFORMANCE_PROTO_DIR"),
        None => match go_module_dir() {
            Ok(dir) => (dir, "the suite's Go module"),
            Err(why) => {
                return Err(format!("found no protos; install Go or set CONFORMANCE_PROTO_DIR: {why}"));
            }
        },
    };
    root_of(&dir).ok_or_else(|| format!("found no protos in {origin}, which is {}", dir.display()))
}

/// Accepts the repository, its `proto` folder, or the folder of the files themselves.
fn root_of(dir: &Path) -> Option<PathBuf> {
    [dir.join("proto"), dir.to_owned(), dir.join("../../..")]
        .into_iter()
        .find(|root| root.join(PACKAGE_DIR).join("service.proto").is_file())
}

/// Fetches the suite's Go module, unless the module cache has it, and tells where it lies.
fn go_module_dir() -> Result<PathBuf, String> {
    let module = format!("connectrpc.com/conformance@{}", SUITE_VERSION.trim());
    let output = Command::new("go")
        .args(["mod", "download", "-json", &module])
        .output()
        .map_err(|error| format!("cannot run `go mod download -json {module}`: {error}"))?;
    // A failed download is described on stdout too, in the field `Error`.
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    match (answer["Dir"].as_str(), answer["Error"].as_str()) {
        (Some(dir), _) => Ok(dir.into()),
        (None, Some(error)) => Err(format!("`go mod download -json {module}`: {error}")),
        (None, None) => Err(format!(
            "`go mod download -json {module}` ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
