# Two stages: the first resolves and builds, the second holds nothing but Python, the environment and an account.
FROM python:3.13-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/latigo
COPY requirements.txt ./
RUN /opt/latigo/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY web ./web
COPY src ./src
RUN /opt/latigo/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
    && /opt/latigo/bin/python -m compileall -q /opt/latigo/lib

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/latigo --create-home --shell /usr/sbin/nologin latigo
COPY --from=build /opt/latigo /opt/latigo
ENV PATH=/opt/latigo/bin:$PATH \
    PYTHONUNBUFFERED=1 \
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
