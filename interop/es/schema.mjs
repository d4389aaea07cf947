// The service, described by hand.
import { create, createFileRegistry } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  MethodOptions_IdempotencyLevel as Idempotency,
  StringValueSchema,
  file_google_protobuf_wrappers as wrappers,
} from "@bufbuild/protobuf/wkt";

const text = ".google.protobuf.StringValue";

function method(name, options = {}) {
  return { name, inputType: text, outputType: text, ...options };
}

const file = create(FileDescriptorProtoSchema, {
  name: "interop/v1/interop.proto",
  package: "interop.v1",
  syntax: "proto3",
  dependency: [wrappers.proto.name],
  service: [
    {
      name: "InteropService",
      method: [
        method("Echo"),
        method("Query", { options: { idempotencyLevel: Idempotency.NO_SIDE_EFFECTS } }),
        method("Fail"),
        method("Wait"),
        method("Outcome"),
        method("Renew"),
        // That no server has.
        method("Nothing"),
        method("Join", { clientStreaming: true }),
        method("Count", { serverStreaming: true }),
        method("Hold", { serverStreaming: true }),
        method("Chat", { clientStreaming: true, serverStreaming: true }),
      ],
    },
  ],
});

const registry = createFileRegistry(file, (name) => (name === wrappers.proto.name ? wrappers.proto : undefined));

export const InteropService = registry.getService("interop.v1.InteropService");

export const message = (value) => create(StringValueSchema, { value });
