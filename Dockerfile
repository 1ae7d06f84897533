# One image for `meshlift api` and `meshlift worker`. There is no build step: Node strips the types.
FROM node:24.21.0-bookworm-slim

WORKDIR /opt/meshlift
COPY package.json package-lock.json .npmrc ./
# No package needs its install script, and the worker's workflow bundler needs the optional platform packages.
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force
COPY . .

USER node
ENTRYPOINT ["node", "meshlift.ts"]
