//! Tells the tests whether the real data is at hand: those that need it are ignored where it is not.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(bursar_real_data)");
    println!("cargo::rerun-if-env-changed=BURSAR_REAL_DATA");
    println!("cargo::rerun-if-changed=ddl");
    if std::env::var_os("BURSAR_REAL_DATA").is_some() {
        println!("cargo::rustc-cfg=bursar_real_data");
    }
}
