# One image for several platforms, all compiled on the builder's platform. Each has its own layer; they share the store.
ARG XCACHE_IMAGE=cargo-xcache:0.1.0
FROM --platform=$BUILDPLATFORM ${XCACHE_IMAGE} AS xcache

FROM --platform=$BUILDPLATFORM rust:1.95-trixie AS tools
COPY --from=xcache /cargo-xcache /usr/local/cargo/bin/
WORKDIR /app

FROM tools AS recipe
COPY . .
RUN cargo xcache recipe

FROM tools AS build
ARG TARGETARCH
RUN case "$TARGETARCH" in \
        amd64) echo x86_64-unknown-linux-musl ;; \
        arm64) echo aarch64-unknown-linux-musl ;; \
    esac > /target && rustup target add "$(cat /target)"
ENV CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER=rust-lld
ENV CARGO_HOME=/var/cache/cargo XCACHE_DIR=/var/cache/xcache
COPY --from=recipe /app/recipe.json .
RUN --mount=type=cache,id=cargo,target=/var/cache/cargo \
    --mount=type=cache,id=xcache,target=/var/cache/xcache \
    cargo xcache warm --recipe recipe.json --release --target "$(cat /target)"
COPY . .
RUN --mount=type=cache,id=cargo,target=/var/cache/cargo \
    cargo build --release --locked --target "$(cat /target)" \
    && mv "target/$(cat /target)/release/app" /usr/local/bin/

FROM scratch
COPY --from=build /usr/local/bin/app /
CMD ["/app"]
