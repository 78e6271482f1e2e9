"""What only a real API server can confirm about the client, the list-watch and the Lease."""

import asyncio
import base64
import contextlib
import time

import pytest
import yaml

from taskmill.kube import errors
from taskmill.kube.auth import Credentials
from taskmill.kube.client import JOBS, LEASES, PODS, KubeClient, Resource
from taskmill.kube.lease import Elector
from taskmill.kube.listwatch import ListWatch

pytestmark = pytest.mark.cluster

MAPS = Resource("", "v1", "configmaps")


@pytest.fixture
async def client(cluster):
    async with KubeClient(Credentials.from_kubeconfig(cluster.kubeconfig)) as client:
        yield client


@contextlib.asynccontextmanager
async def running(*coroutines):
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(predicate, seconds=30):
    async with asyncio.timeout(seconds):
        while not predicate():  # noqa: ASYNC110 (what is awaited sets no event)
            await asyncio.sleep(0.02)


def a_map(name, **data):
    return {"metadata": {"name": name, "labels": {"app": "kube-test"}}, "data": data}


def a_job(name):
    container = {"name": "main", "image": "no-such-image", "command": ["true"]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": {"spec": pod}}}


async def test_create_get_patch_replace_delete(client, namespace):
    made = await client.create(MAPS, namespace, a_map("a", x="1"))
    assert (await client.get(MAPS, namespace, "a"))["data"] == {"x": "1"}
    patched = await client.patch(MAPS, namespace, "a", {"data": {"y": "2"}})
    assert patched["data"] == {"x": "1", "y": "2"}
    replaced = await client.replace(MAPS, namespace, "a", patched | {"data": {"z": "3"}})
    assert replaced["data"] == {"z": "3"}
    assert await client.delete(MAPS, namespace, "a", uid=made["metadata"]["uid"]) is None
    with pytest.raises(errors.NotFound):
        await client.get(MAPS, namespace, "a")
    with pytest.raises(errors.NotFound):
        await client.delete(MAPS, namespace, "a", uid=made["metadata"]["uid"])


async def test_a_name_that_is_taken(client, namespace):
    await client.create(MAPS, namespace, a_map("a"))
    with pytest.raises(errors.AlreadyExists) as caught:
        await client.create(MAPS, namespace, a_map("a"))
    assert caught.value.details["name"] == "a"


async def test_strict_validation_names_the_field(client, namespace):
    job = a_job("a")
    job["spec"]["template"]["spec"]["containers"][0]["comand"] = []
    with pytest.raises(errors.Invalid, match=r"unknown field.*comand") as caught:
        await client.create(JOBS, namespace, job, dry_run=True)
    assert caught.value.status == 400
    job = a_job("a")
    job["spec"]["backoffLimit"] = "zero"
    with pytest.raises(errors.Invalid, match="backoffLimit"):
        await client.create(JOBS, namespace, job)
    job["spec"]["backoffLimit"] = -1
    with pytest.raises(errors.Invalid, match="backoffLimit") as caught:
        await client.create(JOBS, namespace, job)
    assert caught.value.status == 422


async def test_a_dry_run_leaves_nothing(client, namespace):
    assert (await client.create(JOBS, namespace, a_job("a"), dry_run=True))["metadata"]["uid"]
    with pytest.raises(errors.NotFound):
        await client.get(JOBS, namespace, "a")


async def test_deleting_another_object_of_the_same_name_is_a_conflict(client, namespace):
    await client.create(MAPS, namespace, a_map("a"))
    with pytest.raises(errors.Conflict):
        await client.delete(MAPS, namespace, "a", uid="00000000-0000-0000-0000-000000000000")
    assert await client.get(MAPS, namespace, "a")


async def test_a_stale_version_is_a_conflict(client, namespace):
    made = await client.create(MAPS, namespace, a_map("a", x="1"))
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    await client.patch(MAPS, namespace, "a", stale | {"data": {"x": "2"}})
    with pytest.raises(errors.Conflict):
        await client.patch(MAPS, namespace, "a", stale | {"data": {"x": "3"}})
    with pytest.raises(errors.Conflict):
        await client.replace(MAPS, namespace, "a", made)
    assert (await client.get(MAPS, namespace, "a"))["data"] == {"x": "2"}


async def test_a_deleted_job_takes_its_pod_along(client, namespace):
    made = await client.create(JOBS, namespace, a_job("a"))
    told = []
    watch = ListWatch(
        client,
        PODS,
        namespace=namespace,
        label_selector="batch.kubernetes.io/job-name=a",
        on_change=lambda pod: told.append(pod["metadata"]["name"]),
        on_gone=lambda _: told.append("gone"),
    )
    async with running(watch.run()):
        await until(lambda: told)
        await client.delete(JOBS, namespace, "a", uid=made["metadata"]["uid"])
        await until(lambda: told[-1] == "gone", 60)
    with pytest.raises(errors.NotFound):
        await client.get(JOBS, namespace, "a")


async def test_lists_come_in_pages(client, namespace):
    for name in "abcde":
        await client.create(MAPS, namespace, a_map(name))
    whole, version = await client.list(MAPS, namespace, label_selector="app=kube-test")
    pages = [
        [item["metadata"]["name"] for item in items]
        async for items, at in client.pages(
            MAPS, namespace, label_selector="app=kube-test", limit=2
        )
    ]
    assert pages == [["a", "b"], ["c", "d"], ["e"]]
    assert [item["metadata"]["name"] for item in whole] == list("abcde")
    assert int(version) >= max(int(item["metadata"]["resourceVersion"]) for item in whole)
    field = "metadata.name=c"
    assert len((await client.list(MAPS, namespace, field_selector=field, limit=1))[0]) == 1


async def test_a_bad_selector_is_refused(client, namespace):
    with pytest.raises(errors.Invalid):
        await client.list(MAPS, namespace, field_selector="nothing=here")


async def test_a_list_watch_sees_create_update_delete(client, namespace):
    before = await client.create(MAPS, namespace, a_map("before"))
    told = []
    watch = ListWatch(
        client,
        MAPS,
        namespace=namespace,
        label_selector="app=kube-test",
        on_change=lambda it: told.append((it["metadata"]["name"], (it.get("data") or {}).get("x"))),
        on_gone=lambda it: told.append((it.name, it.uid, it.last is not None)),
    )
    async with running(watch.run()):
        await asyncio.wait_for(watch.synced.wait(), 10)
        assert told == [("before", None)]
        await client.create(MAPS, namespace, a_map("a", x="1"))
        await client.patch(MAPS, namespace, "a", {"data": {"x": "2"}})
        uid = before["metadata"]["uid"]
        await client.delete(MAPS, namespace, "before", uid=uid)
        await client.patch(MAPS, namespace, "a", {"metadata": {"labels": {"app": None}}})
        await until(lambda: len(told) == 5)
    assert told[1:4] == [("a", "1"), ("a", "2"), ("before", uid, True)]
    assert told[4][0] == "a"
    assert time.monotonic() - watch.seen_at < 10


async def test_a_watch_ends_when_the_server_says_so(client, namespace):
    _, version = await client.list(MAPS, namespace)
    started = time.monotonic()
    stream = client.watch(MAPS, namespace=namespace, resource_version=version, timeout=2)
    assert {event["type"] async for event in stream} <= {"BOOKMARK"}
    assert 1 < time.monotonic() - started < 10


async def test_electors_hand_the_lease_over(client, namespace):
    told = []

    def elector(who):
        return Elector(
            client,
            namespace=namespace,
            name="lock",
            identity=who,
            duration=4.0,
            renew_deadline=3.0,
            retry=0.5,
            on_lead=lambda: told.append(f"+{who}"),
            on_lose=lambda: told.append(f"-{who}"),
        )

    electors = {who: elector(who) for who in "abc"}
    async with running(*(each.run() for each in electors.values())) as tasks:
        await until(lambda: told)
        first = told[0][1]
        await asyncio.sleep(5)
        assert told == [f"+{first}"]
        stopped = time.monotonic()
        tasks["abc".index(first)].cancel()
        await until(lambda: len(told) == 3)
        assert time.monotonic() - stopped < 2
        assert told[1] == f"-{first}"
        second = told[2][1]
        lease = await client.get(LEASES, namespace, "lock")
        assert lease["spec"]["holderIdentity"] == second
        assert lease["spec"]["leaseTransitions"] == 1
        await client.delete(LEASES, namespace, "lock", uid=lease["metadata"]["uid"])
        await asyncio.sleep(2)
        assert [who for who, each in electors.items() if each.is_leader] == [second]
        assert len(told) == 3
        assert (await client.get(LEASES, namespace, "lock"))["spec"]["holderIdentity"] == second
    lease = await client.get(LEASES, namespace, "lock")
    assert lease["spec"]["holderIdentity"] in {"", None}


async def test_a_service_account_as_in_a_pod(cluster, namespace, tmp_path):
    entry = Credentials.from_kubeconfig(cluster.kubeconfig)._entry
    ca = base64.b64decode(entry.cluster["certificate-authority-data"])
    (tmp_path / "ca.crt").write_bytes(ca)
    (tmp_path / "namespace").write_text(namespace)
    (tmp_path / "token").write_text("expired-long-ago")
    host, port = entry.cluster["server"].removeprefix("https://").rsplit(":", 1)
    env = {"KUBERNETES_SERVICE_HOST": host.strip("[]"), "KUBERNETES_SERVICE_PORT": port}
    credentials = Credentials.from_environment(env, service_account=tmp_path)
    cluster.kubectl("-n", namespace, "create", "serviceaccount", "robot")
    done = cluster.kubectl("-n", namespace, "create", "token", "robot")
    token = getattr(done, "stdout", done)
    async with KubeClient(credentials) as client:
        with pytest.raises(errors.Unauthorized):
            await client.get(MAPS, namespace, "kube-root-ca.crt")
        (tmp_path / "token").write_text(token)
        with pytest.raises(errors.Forbidden, match=f"system:serviceaccount:{namespace}:robot"):
            await client.get(MAPS, namespace, "kube-root-ca.crt")


async def test_tls_server_name(cluster, namespace, tmp_path):
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    path = tmp_path / "kubeconfig"
    for name, works in (("kubernetes.default.svc", True), ("elsewhere.example", False)):
        config["clusters"][0]["cluster"]["tls-server-name"] = name
        path.write_text(yaml.safe_dump(config))
        async with KubeClient(Credentials.from_kubeconfig(path)) as client:
            if works:
                assert await client.get(MAPS, namespace, "kube-root-ca.crt")
            else:
                with pytest.raises(errors.Unreachable, match=r"(?i)certificate"):
                    await client.create(MAPS, namespace, a_map("a"))
