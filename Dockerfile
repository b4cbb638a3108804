# One image for both processes: the command is `web` (the default) or `worker`, or any other of `versus`.
# It writes to /tmp alone. Another base needs Python 3.11 or newer with its venv module, as `python3`.
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv /opt/versus
WORKDIR /src
# What the lock file names first, without its last line, the project: a change to the code makes a small layer.
COPY requirements.txt ./
RUN sed '/^\.$/d' requirements.txt > locked.txt && /opt/versus/bin/pip install --requirement locked.txt
COPY . .
RUN /opt/versus/bin/pip install . && /opt/versus/bin/pip uninstall --yes --quiet pip

FROM ${BASE}
RUN groupadd --gid 10001 versus && useradd --uid 10001 --gid versus --no-create-home --home-dir /tmp versus
COPY --from=build /opt/versus /opt/versus
COPY config/config.yaml /etc/versus-incident/config/
COPY deploy/container/healthcheck /usr/local/bin/
ENV PATH=/opt/versus/bin:$PATH PORT=3000 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# `config/config.yaml` and `.env` are looked for here; mount your own, or set variables.
WORKDIR /etc/versus-incident
USER 10001:10001
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["healthcheck"]
ENTRYPOINT ["versus"]
CMD ["web"]
