# Daily commands: `just` lists them.

_default:
    @just --list

# Load the sample files into a private PostgreSQL and write the report
demo:
    cargo run --release -- demo

# Check the types
check:
    cargo check --all-targets --locked

# Format, and check format and lints as CI does
lint:
    cargo fmt
    cargo clippy --all-targets --locked -- -D warnings

# Run the tests whose names contain a word; all of them without one
test *words:
    cargo test --locked -- {{ words }}

# Accept changed snapshots of the tests whose names contain a word; read the diff before you commit
accept *words:
    INSTA_UPDATE=always cargo test --locked --test it -- {{ words }}

# Write the JSON Schemas of the configuration anew
schemas:
    cargo run --locked -- schema

# Build the documentation of the code
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --locked

# Everything that CI checks
ci:
    bash .ci/run
