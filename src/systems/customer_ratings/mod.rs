//! Customer ratings: a file a day from each agency, and an aggregate report over all of them.
//!
//! All of it is configuration (`config/jobs/customer-ratings.toml` and what that names); the folder holds
//! what the program ships of it.

use super::{Sample, System};

/// The system.
pub const SYSTEM: System = System { name: "customer-ratings", kinds: &[], build: |_| Vec::new(), samples: SAMPLES };

/// The dataset as it is shipped; `bursar bench` loads files of its shape.
pub const DATASET: &str = include_str!("../../../config/datasets/customer_rating.toml");

macro_rules! sample {
    ($path:literal) => {
        Sample { path: $path, bytes: include_bytes!(concat!("../../../", $path)) }
    };
}

const SAMPLES: &[Sample] = &[
    sample!("config/customers.toml"),
    sample!("config/datasets/customer_rating.toml"),
    sample!("config/jobs/customer-ratings.toml"),
    sample!("config/reports/customer_rating_aggregate.toml"),
    sample!("config/reports/customer_rating_aggregate.sql"),
    sample!("data/ratings/Customer Rating Agency A Inc.csv"),
    sample!("data/ratings/Customer Rating Agency B Inc.csv"),
    sample!("data/ratings/Customer Rating Agency C Inc.csv"),
    sample!("data/ratings/Customer Rating Agency D Inc.csv"),
];
