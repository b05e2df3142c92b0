# Two stages: the first builds the environment, the second holds nothing but Python, the environment and an account.
# `make image-pins` adds the digests of images. For an image with everything (an embedded PostgreSQL, plots):
# docker build --build-arg REQUIREMENTS=requirements.txt . For one that is the same whenever it is built:
# docker buildx build --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) --output type=image,rewrite-timestamp=true .
FROM python:3.13-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends binutils
ARG REQUIREMENTS=requirements-image.txt
ARG SOURCE_DATE_EPOCH
WORKDIR /build
COPY . .
RUN sh deploy/image/build.sh . /opt/latigo

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/latigo --create-home --shell /usr/sbin/nologin latigo
COPY --from=build /opt/latigo /opt/latigo
ENV PATH=/opt/latigo/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LATIGO_LOG__FORMAT=json \
    LATIGO_HTTP__HOST=0.0.0.0
USER 10001
WORKDIR /var/lib/latigo
EXPOSE 8080
# Alive while the event loop turns; an outage of Gordo or a sink restarts nothing.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/livez', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["latigo"]
CMD ["serve", "--role", "all"]
