# The nine programs in one image, for the commands, compose files and manifests there are: a
# command names its program (/nsqd, or nsqd), there is no entry point, and data belongs in
# /data, where programs start.
#
#   docker build -t nsq .
#   docker run -d --name nsqd -p 4150:4150 -p 4151:4151 -v nsq-data:/data nsq /nsqd --broadcast-address=127.0.0.1
#
# Programs run as root unless told otherwise. As somebody else:
#
#   docker run --user 4150 ...                             with a volume: a user without a group is in group 0,
#                                                          which may write to /data (so does OpenShift)
#   docker run --user "$(id -u):$(id -g)" -v "$PWD/data:/data" ...   with a directory which that user may write to
#
# Stay with the user: files of the data path are its own, and no other may read them.

FROM --platform=$BUILDPLATFORM golang:1.26-alpine AS build
RUN apk add --no-cache make
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Compiled here for the platform of the image. The build lies outside the copied tree, where
# programs built for another system may lie.
ARG TARGETOS TARGETARCH
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH make install BLDDIR=/tmp/build DESTDIR=/out BLDFLAGS="-trimpath"
RUN install -d /out/usr/local/libexec/nsq && install -m 0755 contrib/docker/healthcheck.sh /out/usr/local/libexec/nsq/healthcheck
RUN install -d /out/usr/share/licenses/nsq && install -m 0644 LICENSE THIRD-PARTY-LICENSES /out/usr/share/licenses/nsq/

FROM alpine:3.22
RUN apk add --no-cache ca-certificates
COPY --from=build /out /
RUN for program in /usr/local/bin/*; do ln -s "$program" / && ln -s "$program" /bin/; done && install -d -m 0775 /data
EXPOSE 4150 4151 4160 4161 4170 4171
WORKDIR /data
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/libexec/nsq/healthcheck"]

ARG VERSION=1.4.0 REVISION= CREATED=
LABEL org.opencontainers.image.title="nsq" \
      org.opencontainers.image.description="Message broker that speaks NSQ's protocol: nsqd, nsqlookupd, nsqadmin and the tools" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
