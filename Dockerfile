# The demo in a container. It serves the embedded model without any network:
#   docker build -t hired . && docker run --rm -p 7860:7860 --stop-timeout 70 hired
# For an NVIDIA GPU: docker build --build-arg DEVICE=cuda -t hired:cuda .
#   docker run --rm --gpus all -p 7860:7860 -e HIRED_MODEL=auto -v hired-models:/home/user/.cache hired:cuda

FROM python:3.12-slim-bookworm AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
COPY requirements.txt ./
# PyTorch has its own layer: it is most of the image and changes least.
ARG DEVICE=cpu
ARG CPU_INDEX=https://download.pytorch.org/whl/cpu
RUN grep '^torch' requirements.txt > torch.txt && case "$DEVICE" in \
      cpu) pip install -r torch.txt --index-url "$CPU_INDEX" ;; \
      cuda) pip install -r torch.txt ;; \
      *) echo "DEVICE is cpu or cuda, got: $DEVICE" >&2; exit 1 ;; \
    esac
RUN pip install -r requirements.txt && pip uninstall -y pip

FROM python:3.12-slim-bookworm
# The OpenMP library that bitsandbytes uses on a CPU.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && pip uninstall -y pip \
    && useradd --create-home --uid 1000 user
COPY --from=packages /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/home/user \
    HF_HOME=/home/user/.cache/huggingface \
    MPLCONFIGDIR=/tmp/matplotlib \
    GRADIO_TEMP_DIR=/tmp/gradio \
    GRADIO_ANALYTICS_ENABLED=False \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# The code belongs to root: the app cannot change it.
WORKDIR /home/user/app
COPY LICENSE README.md requirements.txt app.py ./
COPY assets assets
COPY hired hired
USER 1000
RUN mkdir -p "$HF_HOME"
EXPOSE 7860
# It answers once the model is there, which may have to be downloaded first: 15 GB.
HEALTHCHECK --interval=30s --timeout=5s --start-period=1h --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
CMD ["python", "app.py"]
