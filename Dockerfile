# The daemon as an image. Needs BuildKit (the default since Docker 23; before: DOCKER_BUILDKIT=1).
ARG RUST_IMAGE=rust:1-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS builder
WORKDIR /build
COPY . .
# The caches keep the dependencies, downloaded and compiled, from build to build. The crate itself is
# compiled afresh: cargo goes by modification times, and a clone's can be older than another's binary.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/build/target,sharing=locked \
    cargo clean --release --locked --package bursar \
    && cargo build --release --locked --bin bursar \
    && install -D target/release/bursar /out/bursar

FROM ${RUNTIME_IMAGE}
# The roots that outgoing TLS trusts. To trust others as well: mount a bundle and name it in SSL_CERT_FILE.
COPY --from=builder /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
# What is written to is open to any account, so that the container may run as the one that owns a mounted folder.
RUN groupadd --gid 10001 bursar \
    && useradd --uid 10001 --gid 10001 --home-dir /srv/bursar --no-create-home --shell /usr/sbin/nologin bursar \
    && install -d /srv/bursar /srv/bursar/inbox \
    && install -d -o bursar -g bursar -m 1777 /srv/bursar/output /srv/bursar/state
COPY --from=builder /out/bursar /usr/local/bin/bursar
COPY config /srv/bursar/config

USER 10001:10001
WORKDIR /srv/bursar
ENV BURSAR_CONFIG_DIR=/srv/bursar/config \
    BURSAR_INBOX_DIR=/srv/bursar/inbox \
    BURSAR_OUTPUT_DIR=/srv/bursar/output \
    BURSAR_DATA_DIR=/srv/bursar/state
# It listens on the container's loopback unless BURSAR_HTTP_BIND says 0.0.0.0:8080; publish that on 127.0.0.1 only.
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["bursar", "health"]
ENTRYPOINT ["bursar"]
CMD ["serve"]
