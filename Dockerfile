FROM golang:1.26-alpine AS build
RUN apk add --no-cache make
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Outside the copied tree, where programs built for another system may lie.
RUN make install BLDDIR=/tmp/build DESTDIR=/out PREFIX=/usr/local BLDFLAGS="-trimpath"

FROM alpine:3.22
COPY --from=build /out /
# Commands name the program as /nsqd or nsqd; there is no entry point.
RUN for program in /usr/local/bin/*; do ln -s "$program" / && ln -s "$program" /bin/; done
EXPOSE 4150 4151 4160 4161 4170 4171
WORKDIR /data
