# The example gateway.  docker build -f examples/deploy/gateway.Dockerfile -t evenkeel/gateway .
# test/outside/dockerfile.test.ts runs the steps between the marks in a plain folder, and then the entry point and the
# health check.
FROM node:22-slim AS build
WORKDIR /app
COPY . .
# begin build
RUN npx -y pnpm@10 install --frozen-lockfile --filter=evenkeel-monorepo --filter-prod=@evenkeel/example-gateway...
RUN npx -y pnpm@10 --filter-prod=@evenkeel/example-gateway... exec tsup --no-dts
RUN npx -y pnpm@10 --filter @evenkeel/example-gateway deploy --prod --legacy /out
# end build

FROM node:22-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /out .
USER node
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT ?? 8080}/health`).then(r => process.exit(r.status < 500 ? 0 : 1), () => process.exit(1))"]
CMD ["node", "dist/gateway.js"]
