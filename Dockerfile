# One image for everything the service runs: `serve`, `worker`, `migrate`, and the command line itself.
# It runs as a user without rights on a read-only root file system; only /data and /tmp are written.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE requirements.lock ./
COPY bitbudget bitbudget
COPY search search
COPY service service
COPY workers workers
COPY migrations migrations
RUN python -m venv /opt/bitbudget \
    && /opt/bitbudget/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock \
    && /opt/bitbudget/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin bitbudget \
    && install -d -o bitbudget -g bitbudget -m 0750 /data
COPY --from=build /opt/bitbudget /opt/bitbudget
ENV PATH=/opt/bitbudget/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    BITBUDGET_DATA_DIR=/data
USER 10001:10001
WORKDIR /tmp
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
ENTRYPOINT ["bitbudget"]
CMD ["serve", "--host", "0.0.0.0"]
