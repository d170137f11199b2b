# docker build -t oneword .                      for CPUs
# docker build -t oneword:cuda --target cuda .   for NVIDIA GPUs
FROM python:3.12-slim AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    ONEWORD_DB=/data/store ONEWORD_KEYS=/data/keys.toml ONEWORD_HOST=0.0.0.0 HF_HOME=/data/models
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 oneword && install -d -o oneword /data
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY oneword oneword
COPY engine engine
COPY indexer indexer
COPY query query
COPY storage storage
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["oneword"]
CMD ["serve"]
# Ready, not only alive: a service whose model hangs gets no requests.
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]

FROM base AS cuda
RUN pip install ".[basic,client,faiss,gpu,heif,otel,remote,serve,sources]"
USER oneword

FROM base AS cpu
# PyTorch's CPU build first: the default one brings CUDA along.
RUN pip install --index-url https://download.pytorch.org/whl/cpu "torch>=2.9,<2.14" \
    && pip install ".[basic,client,e5v,faiss,heif,otel,remote,serve,sources]"
USER oneword
