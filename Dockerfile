# Operator, feature server and materialization: one image, for all three share most of what they are made of.
#
# `make image` builds it; docs/image.md says what is in it, what was left out, and how large that is.
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
# pip's own settings and certificate authorities are the building machine's, where it has any; neither stays in a layer.
WORKDIR /build
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=authorities,target=/etc/ssl/certs/ca-certificates.crt \
    python3 -m venv tools \
    && tools/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt \
    && python3 -m venv --without-pip /opt/featureplane \
    && tools/bin/pip --python /opt/featureplane/bin/python install --no-cache-dir --no-compile --no-deps \
        --only-binary :all: --require-hashes -r requirements/runtime.txt
# What no process of ours opens; docs/image.md has the list. numpy/_core/tests stays: numpy.testing imports from it.
RUN cd /opt/featureplane/lib/python3.*/site-packages \
    && rm -rf pandas/tests pyarrow/tests pyarrow/include pyarrow/src feast/ui/build \
    && find dask toolz websocket numpy -type d -name tests -not -path 'numpy/_core/*' -prune -exec rm -rf {} + \
    && find . -name '*.pyi' -delete \
    && /opt/featureplane/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash . \
    && HOME=/tmp FEAST_USAGE=False /opt/featureplane/bin/feast version
COPY . .
# Below /own, and so a small layer of its own: who has an earlier image fetches no more than that.
RUN tools/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --no-index -w wheels . \
    && tools/bin/pip --python /opt/featureplane/bin/python install --no-cache-dir --no-compile --no-deps --no-index \
        --root /own wheels/*.whl \
    && /opt/featureplane/bin/python -m compileall -q --invalidation-mode unchecked-hash -s /own /own

FROM ${BASE_IMAGE}
# A name for the number: libraries ask whose home is where.
RUN echo 'featureplane:x:10001:10001:featureplane:/tmp:/usr/sbin/nologin' >>/etc/passwd \
    && echo 'featureplane:x:10001:' >>/etc/group
COPY --from=build /opt/featureplane /opt/featureplane
COPY --from=build /own/opt/featureplane /opt/featureplane
COPY image/feast /opt/featureplane/pod/feast
# Pods have a read-only root, so bytecode that is not there is made anew at each start.
ENV PATH=/opt/featureplane/pod:/opt/featureplane/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /feast/feature_repo
USER 10001:10001
RUN ["featureplane", "--version"]
ENTRYPOINT ["featureplane"]
CMD ["--help"]
# Last, for they are different each time.
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="featureplane" \
      org.opencontainers.image.description="Feast features as Kubernetes objects: operator, feature server, materialization" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
