# One static binary on nothing but certificates and a user without rights. It is the
# production build, without the embedded stack: the configuration has to name services.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -tags production -trimpath -ldflags='-s -w -buildid=' -o /cdds .

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /cdds /cdds
USER 65532:65532
ENTRYPOINT ["/cdds"]
CMD ["up"]
HEALTHCHECK --interval=10s --timeout=15s --start-period=2m CMD ["/cdds", "ready"]
