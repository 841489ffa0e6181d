//! A file is never in memory.

use super::*;
use std::process::{Child, Stdio};

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_is_that_of_a_small_file_whatever_the_size() {
    let s3 = S3::start().await;
    let world = World::new().await;
    let mut peaks = Vec::new();
    for mebibytes in [8, 80] {
        s3.put("A.csv", big(mebibytes << 20));
        let mut command = world.command(&["parse", "customer_rating", "s3://bucket/A.csv"]);
        peaks.push(peak(command.envs(s3.variables()).stdout(Stdio::null()).spawn().expect("start bursar")));
    }
    println!("peaks: {peaks:?} KiB");
    // What the allocator keeps and how far the network is ahead differ from run to run.
    assert!(peaks[1] < peaks[0] + 12 * 1024, "{peaks:?} KiB for 8 and 80 MiB");
}

/// The most memory that a program had, in KiB, as long as it could be asked.
fn peak(mut child: Child) -> u64 {
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = line.map_or(peak, |kibibytes| kibibytes.parse().expect("a number"));
        if let Some(status) = child.try_wait().expect("the program") {
            assert!(status.success(), "{status}");
            return peak;
        }
        std::thread::yield_now();
    }
}
