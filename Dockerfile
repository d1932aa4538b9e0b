# The environment that requirements.txt locks, for the CPU, without a clone. In a clone:
#
#     docker build --tag lesions .
#     docker run --rm --interactive --tty --user "$(id -u):$(id -g)" --volume "$PWD:/lesions" lesions dvc repro
FROM python:3.11-slim-bookworm

# DVC runs Git, Git and DVC reach servers by SSH. The clone that is mounted is of another user than root.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git=1:2.* make openssh-client \
 && rm -rf /var/lib/apt/lists/* \
 && git config --system --add safe.directory /lesions

# Outside of /lesions, which the clone covers. Caches, such as the checkpoints, must be of whoever runs it. DVC wants a
# user's name, which the id of another machine has none of here.
ENV PATH=/opt/environment/bin:$PATH HOME=/tmp USER=lesions DVC_NO_ANALYTICS=1
COPY requirements.txt /opt/
RUN python -m venv /opt/environment \
 && python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement /opt/requirements.txt

WORKDIR /lesions
COPY . .
RUN python -m pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --editable .

CMD ["lesions"]
