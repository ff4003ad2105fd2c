/** The IKEv2 message formats: what other parts import. The interpreters stay inside. */
export * from './address.js';
export * from './content.js';
export * from './der.js';
export * from './encrypted.js';
export * from './error.js';
export type { Field, Form, RecordOf, Struct } from './field.js';
export * from './ike-spi.js';
export * from './message.js';
export * from './nat-traversal.js';
export type {
  ConfigurationAttribute,
  Header,
  KnownPayload,
  Payload,
  PayloadKind,
  PayloadOf,
  UnknownPayload,
  WireAttribute,
  WireProposal,
  WireTrafficSelector,
  WireTransform,
} from './payload.js';
export * from './print.js';
export * from './registry/index.js';
export * from './traffic-selector.js';
