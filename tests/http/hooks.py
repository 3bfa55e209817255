"""What Schemathesis can't know of a running deployment: the names of what is there, which half of its calls get, and how it
is brought back to what it was, which every call that changed it is followed by."""

import itertools
import json
import os
import shutil
import time
import urllib.error
import urllib.request
import zlib

import schemathesis

URL = os.environ["BASE_URL"]
RUNS = os.environ["RUNS"]
RESPONDER = "http-responder"
PLAN = "repetitions = 9"
PATIENCE = 30  # seconds
copies = itertools.count()


def call(method, path, body=None):
    """The answer, once there is one: on a busy machine an instance may be silent for so long that it counts as gone."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, {"Content-Type": "application/json"}, method=method)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)
        except urllib.error.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


REQUEST = call("POST", "/api/v1/requests?wait=true", {"task": "echo"})["requestId"]
RUN = call("GET", "/api/v1/experiments/runs")[0]["id"]


def id_at(operation):
    """An id of what an operation is about."""
    if "/instances/" in operation.path:
        return RESPONDER
    if "/requests/" in operation.path:
        return REQUEST
    if operation.method == "get":
        return RUN
    copy = f"{RUN}-{next(copies)}"
    shutil.copytree(f"{RUNS}/{RUN}", f"{RUNS}/{copy}")
    return copy


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    if path_parameters and isinstance(path_parameters.get("id"), str) and zlib.crc32(path_parameters["id"].encode()) % 2:
        path_parameters["id"] = id_at(context.operation)
        if "name" in path_parameters:
            names = ["results.json", "report.json", "results.csv", "report.html", "plan.toml"]
            path_parameters["name"] = names[next(copies) % len(names)]
        if isinstance(path_parameters.get("index"), int) and path_parameters["index"] >= 0:
            path_parameters["index"] %= 3
    return path_parameters


@schemathesis.hook
def map_query(context, query):
    if query and "before" in query and "after" in query and zlib.crc32(str(query).encode()) % 2:
        query |= {"before": RUN, "after": RUN}
    return query


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict) and isinstance(body.get("plan"), str) and zlib.crc32(body["plan"].encode()) % 2:
        body["plan"] = PLAN
    return body


@schemathesis.hook
def after_call(context, case, response):
    if case.method.lower() in ("get", "head", "options") or response.status_code >= 300:
        return
    if case.path.endswith("/disconnect"):
        call("GET", "/api/v1/dispatcher/connect")
    elif "/control/" in case.path:
        call("PUT", f"/api/v1/control/instances/{RESPONDER}/workers", {"workers": 3})
        call("PUT", "/api/v1/control/delay", {"kind": "none", "minMs": 0, "maxMs": 0, "meanMs": 0, "sigma": 0.5})
        call("DELETE", "/api/v1/control/faults")
    elif case.path.endswith("/load"):
        call("DELETE", "/api/v1/load")
    elif case.path.endswith("/runs"):
        call("DELETE", "/api/v1/experiments/running")
        while call("GET", "/api/v1/experiments/running")["state"] in ("starting", "running", "stopping"):
            time.sleep(0.05)
