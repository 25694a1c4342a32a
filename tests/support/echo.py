"""A gRPC service without a proto file, whose answers a test decides."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodOptions
from google.protobuf.descriptor_pool import DescriptorPool

NAME = "test.v1.Echo"
_LEVELS = {
    "Read": MethodOptions.NO_SIDE_EFFECTS,
    "Put": MethodOptions.IDEMPOTENT,
    "Post": MethodOptions.IDEMPOTENCY_UNKNOWN,
}

Answer = Callable[[bytes, "grpc.aio.ServicerContext[Any, Any]"], Awaitable[bytes]]


class Echo:
    """Counts its calls and answers them all with `answer`; requests and responses are raw bytes."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.calls = 0
        self.answer = answer or _same

    def register(self, server: grpc.aio.Server) -> None:
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.unary_unary_rpc_method_handler(self._handle) for name in _LEVELS
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))

    async def _handle(self, request: bytes, context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
        self.calls += 1
        return await self.answer(request, context)


def descriptor() -> ServiceDescriptor:
    """As protoc would make it: Read has no side effects, Put is idempotent, Post says nothing."""
    file = FileDescriptorProto(name="echo.proto", package="test.v1", syntax="proto3")
    file.message_type.add(name="Message")
    service = file.service.add(name="Echo")
    for name, level in _LEVELS.items():
        method = service.method.add(name=name, input_type=".test.v1.Message", output_type=".test.v1.Message")
        method.options.idempotency_level = level
    pool = DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName(NAME)


async def call(channel: grpc.aio.Channel, method: str, request: bytes = b"", **options: Any) -> bytes:
    """Calls the echo service as a generated stub would."""
    stub: Any = channel.unary_unary(f"/{NAME}/{method}")
    answer: bytes = await stub(request, **options)
    return answer


async def _same(request: bytes, _: object) -> bytes:
    return request
