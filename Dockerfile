# Builds the program and puts it alone into an image that has no shell.
#
# The image listens on all addresses of its container, port 8080, and for that
# it wants an https issuer: TLS ends at a proxy in front, or in the program
# itself (CHANCERY_TLS_CERT_FILE and CHANCERY_TLS_KEY_FILE). Without any other
# setting it keeps SQLite and its master key in /data:
#
#   docker build --tag chancery .
#   docker run --publish 127.0.0.1:8080:8080 --volume chancery:/data \
#     --env CHANCERY_ISSUER=https://login.example chancery
#
# docker-compose.yml runs it with Postgres.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . ./
ARG VERSION=devel
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/chancery ./cmd/chancery
RUN mkdir -m 0700 /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/chancery /chancery
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
ENV CHANCERY_LISTEN=:8080 \
    CHANCERY_DATA_DIR=/data
VOLUME ["/data"]
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["/chancery", "healthcheck"]
ENTRYPOINT ["/chancery"]
CMD ["serve"]
