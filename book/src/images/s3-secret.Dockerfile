# Dependencies in a layer and in a bucket. The builder gets a credentials file, which is in no layer.
ARG XCACHE_IMAGE=cargo-xcache:0.1.0
FROM ${XCACHE_IMAGE} AS xcache

FROM rust:1.95-trixie AS tools
COPY --from=xcache /cargo-xcache /usr/local/cargo/bin/
WORKDIR /app

FROM tools AS recipe
COPY . .
RUN cargo xcache recipe

FROM tools AS build
ARG XCACHE_REMOTE
ARG AWS_REGION
ARG AWS_ENDPOINT_URL
ENV AWS_SHARED_CREDENTIALS_FILE=/run/secrets/aws XCACHE_DIR=/tmp/xcache
COPY --from=recipe /app/recipe.json .
RUN --mount=type=secret,id=aws \
    cargo xcache warm --recipe recipe.json --release && rm -rf /tmp/xcache
COPY . .
RUN cargo build --release --locked

FROM debian:trixie-slim
COPY --from=build /app/target/release/app /usr/local/bin/
CMD ["app"]
