# The image of every service but the GPU worker, from the one requirements.lock.
#
# torch and TensorFlow in the lock are built for CUDA and link its libraries, so those stay in even without a GPU. Only
# the two compilers of GPU code that nothing loads on a CPU are left out: triton and nvcc, 0.7 GB.
FROM python:3.11.13-slim-bookworm AS packages
RUN python -m pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
WORKDIR /build
COPY requirements.lock .
RUN python -m venv --without-pip /opt/venv \
    && awk '/^[a-z0-9]/ {kept = !/^(triton|nvidia-cuda-nvcc-cu12)==/} kept' requirements.lock > cpu.lock \
    && uv pip sync --no-cache --python /opt/venv/bin/python --require-hashes --compile-bytecode cpu.lock
# carpipe itself apart from the 9 GB of packages, so that a new version is one small layer.
COPY pyproject.toml README.md LICENSE ./
COPY carpipe carpipe
RUN uv pip install --no-cache --python /opt/venv/bin/python --no-deps --no-build-isolation --compile-bytecode \
    --target /opt/carpipe/lib .

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
COPY --from=packages /opt/carpipe/lib /opt/carpipe/lib
COPY dags /opt/carpipe/dags
COPY plugins /opt/carpipe/plugins
USER carpipe
WORKDIR /opt/airflow
# Each service of docker-compose.airflow.yml has a check and a command of its own; by itself the image is the API.
HEALTHCHECK --interval=15s --timeout=15s --start-period=60s --retries=5 \
    CMD ["python", "-m", "carpipe.local.health", "serve", "http://localhost:5000"]
CMD ["carpipe", "serve", "--host", "0.0.0.0", "--port", "5000"]
