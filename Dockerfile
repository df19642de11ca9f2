# One image for both workers and the command line; target `sandbox` adds the simulators.
#
#   docker build -t socos-graph-pipeline:dev .
#   docker build -t socos-graph-pipeline-sandbox:dev --target sandbox .
#   docker run … socos-graph-pipeline:dev producers/main.ts      (or consumers/main.ts, cli/socos.ts status, …)
#
# Every base can be replaced: BUILD_IMAGE needs Node 26 with npm and a shell, RUNTIME_IMAGE only Node 26, as `node` in
# /nodejs/bin, /usr/local/bin or /usr/bin. For a build that gives the same image tomorrow, pin both by digest:
#   --build-arg RUNTIME_IMAGE=gcr.io/distroless/nodejs26-debian13:nonroot@sha256:…
ARG BUILD_IMAGE=node:26.10.0-trixie-slim
ARG RUNTIME_IMAGE=gcr.io/distroless/nodejs26-debian13:nonroot

# What is installed depends on these three files only, so changes of the code leave this layer alone.
FROM ${BUILD_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The development dependencies leave package.json before the SBOM is written: `npm sbom --omit=dev` also omits what both
# sides use. Neither time nor random number stays in it. Then away with what nobody runs: sources, types and maps.
RUN npm ci --omit=dev --omit=optional --ignore-scripts \
 && npm pkg delete devDependencies optionalDependencies allowScripts scripts \
 && npm sbom --sbom-format=cyclonedx --sbom-type=application >sbom.json \
 && node -e 'const { readFileSync: read, writeFileSync: write } = require("node:fs"); \
             const { serialNumber, ...bom } = JSON.parse(read("sbom.json")); \
             delete bom.metadata.timestamp; \
             bom.metadata.component.name = JSON.parse(read("package.json")).name; \
             write("sbom.json", JSON.stringify(bom, null, 1) + "\n")' \
 && find node_modules -type f '(' -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' \
      -o -iname 'readme.md' -o -iname 'changelog.md' ')' -delete \
 && rm -r package-lock.json .npmrc node_modules/.bin \
 && chmod -R a+rX,go-w .

# A clone made under a strict umask must be readable for the image's user all the same.
FROM ${BUILD_IMAGE} AS sources
WORKDIR /app
COPY LICENSE ./
COPY cli cli/
COPY consumers consumers/
COPY platform platform/
COPY producers producers/
COPY schemas schemas/
RUN chmod -R a+rX,go-w .

FROM ${BUILD_IMAGE} AS simulators
WORKDIR /app
COPY sandbox sandbox/
# the simulated Graph hands out tenants and their secrets in a volume here
RUN chmod -R a+rX,go-w . && mkdir /tenants

FROM ${RUNTIME_IMAGE} AS runtime
COPY --from=packages /app /app
COPY --from=sources /app /app
WORKDIR /app
# No inspector by signal. In production the sandbox, and plain http to the engine, are refused.
ENV PATH=/nodejs/bin:/usr/local/bin:/usr/bin:/bin \
    NODE_ENV=production \
    NODE_OPTIONS=--disable-sigusr1
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["node"]
CMD ["cli/socos.ts", "--help"]
ARG RUNTIME_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="socos-graph-pipeline" \
      org.opencontainers.image.description="Microsoft Graph security alerts of many tenants, through Kafka, to the SOC.OS correlation engine" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${RUNTIME_IMAGE}"

# Never for production: made-up tenants, no access control.
FROM runtime AS sandbox
COPY --from=simulators /app /app
COPY --from=simulators --chown=65532:65532 /tenants /tenants
CMD ["sandbox/graph/main.ts", "--help"]
LABEL org.opencontainers.image.title="socos-graph-pipeline-sandbox" \
      org.opencontainers.image.description="Simulated Microsoft Graph and correlation engine, for trying the pipeline out"

# The last one is what `docker build .` makes.
FROM runtime AS production
