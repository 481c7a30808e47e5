# Dependencies in a layer. The builder needs no other feature than layers.
ARG XCACHE_IMAGE=cargo-xcache:0.1.0
FROM ${XCACHE_IMAGE} AS xcache

FROM rust:1.95-trixie AS tools
COPY --from=xcache /cargo-xcache /usr/local/cargo/bin/
WORKDIR /app

FROM tools AS recipe
COPY . .
RUN cargo xcache recipe

FROM tools AS build
COPY --from=recipe /app/recipe.json .
# The target directory contains the same units, so the layer need not contain the local store.
ENV XCACHE_DIR=/tmp/xcache
RUN cargo xcache warm --recipe recipe.json --release && rm -rf /tmp/xcache
COPY . .
RUN cargo build --release --locked

FROM debian:trixie-slim
COPY --from=build /app/target/release/app /usr/local/bin/
CMD ["app"]
