# The inspection page as a container: the server alone. Models, index and tagger are mounted, read-only; only the store is written.
#   docker build -t zerostart . && docker run --read-only --tmpfs /tmp -p 127.0.0.1:8000:8000 … see deploy/compose.yaml
FROM python:3.11-slim

RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin zerostart
WORKDIR /app
COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.lock
COPY src src
COPY params.yaml ./
COPY data/datasets data/datasets
COPY data/prompts data/prompts
COPY data/baselines data/baselines
RUN mkdir /store && chown 10001 /store

ENV PYTHONPATH=/app/src PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
USER 10001
EXPOSE 8000
VOLUME /store
# Lives, not ready: models may take a minute, and a restart would not make them faster.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
# Every address inside of the container; a token is needed for that, and comes as a file (a secret), not as an argument.
CMD ["python", "-m", "zerostart.serve", "--host", "0.0.0.0", "--port", "8000", "--store", "/store", "--token-file", "/run/secrets/token"]
