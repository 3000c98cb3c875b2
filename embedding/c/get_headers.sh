#!/usr/bin/env bash
# Fetches ONNX Runtime's headers from Debian's libonnxruntime-dev, without installing it, and prints their folder.
#   embedding/c/get_headers.sh [FOLDER]      FOLDER is .cache/onnxruntime by default
# Debian has the package since release 13; on an older one it is taken from that release, of the same mirror.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=$(realpath -m "${1:-.cache/onnxruntime}")
headers=$folder/usr/include/onnxruntime
if [ ! -f "$headers/onnxruntime_c_api.h" ]; then
  mirror=$(grep -rhoE '^[^#]*https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
    grep -oE 'https?://[^ ]+' | sort -u | sed -n 1p) || true
  if [ -z "$mirror" ]; then
    echo "get_headers.sh: this machine names no mirror of Debian; take the headers from ONNX Runtime's own package" >&2
    exit 1
  fi
  mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial"
  cd "$folder"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" > apt/sources.list
  apt=(apt-get -qq -o "Dir::Etc::SourceList=$folder/apt/sources.list" -o Dir::Etc::SourceParts=-
    -o "Dir::State::Lists=$folder/apt/lists" -o "Dir::Cache=$folder/apt" -o APT::Sandbox::User=root)
  "${apt[@]}" update >&2
  "${apt[@]}" download libonnxruntime-dev >&2
  dpkg-deb --extract libonnxruntime-dev_*.deb .
  rm -r apt libonnxruntime-dev_*.deb
fi
echo "$headers"
