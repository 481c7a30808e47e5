# Dependencies in a layer, with the local store and CARGO_HOME in cache mounts.
ARG XCACHE_IMAGE=cargo-xcache:0.1.0
FROM ${XCACHE_IMAGE} AS xcache

FROM rust:1.95-trixie AS tools
COPY --from=xcache /cargo-xcache /usr/local/cargo/bin/
WORKDIR /app

FROM tools AS recipe
COPY . .
RUN cargo xcache recipe

FROM tools AS build
# All of CARGO_HOME, including cargo's lock, so that several builds can use the mount at once.
ENV CARGO_HOME=/var/cache/cargo XCACHE_DIR=/var/cache/xcache
COPY --from=recipe /app/recipe.json .
RUN --mount=type=cache,id=cargo,target=/var/cache/cargo \
    --mount=type=cache,id=xcache,target=/var/cache/xcache \
    cargo xcache warm --recipe recipe.json --release
COPY . .
RUN --mount=type=cache,id=cargo,target=/var/cache/cargo \
    cargo build --release --locked

FROM debian:trixie-slim
COPY --from=build /app/target/release/app /usr/local/bin/
CMD ["app"]
