# An image that contains one static file, /cargo-xcache, for `COPY --from`. In the root of the repository:
#
#     docker build -t cargo-xcache:0.1.0 -f book/src/images/cargo-xcache.Dockerfile .
#     docker buildx build --platform linux/amd64,linux/arm64 -t … --push -f book/src/images/cargo-xcache.Dockerfile .
#
# The compiler runs on the build machine and cross-compiles for other platforms. `--build-arg
# XCACHE_DIST_PROFILE=release` compiles faster and makes a larger file.
FROM --platform=$BUILDPLATFORM rust:1.95 AS build
ARG TARGETARCH
ARG XCACHE_DIST_PROFILE=dist
WORKDIR /src
COPY . .
RUN .ci/dist "$TARGETARCH" && cp target/archives/cargo-xcache-*/cargo-xcache /

FROM scratch
COPY --from=build /cargo-xcache /
