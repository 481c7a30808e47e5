# Makes the same image from an archive, in a directory that contains only archives and their checksums:
#
#     (cd target/archives && sha256sum --check cargo-xcache-0.1.0-x86_64-unknown-linux-musl.tar.gz.sha256)
#     docker build -t cargo-xcache:0.1.0 -f book/src/images/cargo-xcache-archive.Dockerfile target/archives
FROM scratch AS archive
ARG VERSION=0.1.0
ARG TARGET=x86_64-unknown-linux-musl
ADD cargo-xcache-$VERSION-$TARGET.tar.gz /

FROM scratch
COPY --from=archive /cargo-xcache-*/cargo-xcache /
