# The image of every service but the GPU worker.
#
# requirements.cpu.lock is requirements.lock without what only developers and GPUs need: no CUDA, and TensorFlow as it is
# built for processors. The registry has PyTorch for CUDA alone; `thin_cuda.py` takes the place of what it is linked to.
FROM python:3.11.13-slim-bookworm AS packages
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils \
    && python -m pip install --no-cache-dir --disable-pip-version-check uv==0.13.9 hatchling==1.33.0
WORKDIR /build
COPY requirements.cpu.lock tools/thin_cuda.py ./
RUN python -m venv --without-pip /opt/venv \
    && uv pip sync --no-cache --python /opt/venv/bin/python --require-hashes --compile-bytecode requirements.cpu.lock \
    && cd /opt/venv/lib/python3.11/site-packages \
    && rm -r tensorflow/include torch/include pandas/tests torch/lib/libtorch_cuda_linalg.so \
    && python /build/thin_cuda.py .
# carpipe itself apart from the packages, so that a new version is one small layer: its wheel, with DAGs and plugins.
COPY pyproject.toml README.md LICENSE ./
COPY carpipe carpipe
COPY dags dags
COPY plugins plugins
RUN python -m hatchling build -t wheel \
    && uv pip install --no-cache --python /opt/venv/bin/python --no-deps --compile-bytecode \
    --target /opt/carpipe/lib dist/*.whl \
    && ln -s lib/share/carpipe/dags lib/share/carpipe/plugins /opt/carpipe/

FROM python:3.11.13-slim-bookworm
RUN useradd --uid 10001 --user-group --home-dir /opt/airflow --no-create-home carpipe \
    && install -d -o carpipe -g carpipe /opt/airflow /opt/airflow/logs /opt/airflow/.cache /opt/airflow/yolo \
    && install -d -o carpipe -g carpipe -m 700 /opt/airflow/s3-keys
ENV PATH=/opt/carpipe/lib/bin:/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/carpipe/lib \
    PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/opt/airflow \
    YOLO_CONFIG_DIR=/opt/airflow/yolo \
    DO_NOT_TRACK=1 \
    GX_ANALYTICS_ENABLED=false \
    MPLBACKEND=Agg \
    SCARF_ANALYTICS=false \
    TF_CPP_MIN_LOG_LEVEL=3 \
    ULTRALYTICS_SAFE_LOAD=true \
    YOLO_AUTOINSTALL=false \
    YOLO_OFFLINE=true
COPY --from=packages /opt/venv /opt/venv
COPY --from=packages /opt/carpipe /opt/carpipe
USER carpipe
WORKDIR /opt/airflow
# Each service of docker-compose.airflow.yml has a check and a command of its own; by itself the image is the API.
HEALTHCHECK --interval=15s --timeout=15s --start-period=60s --retries=5 \
    CMD ["python", "-m", "carpipe.local.health", "serve", "http://localhost:5000"]
CMD ["carpipe", "serve", "--host", "0.0.0.0", "--port", "5000"]
