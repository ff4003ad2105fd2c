/** The IANA registries of IKEv2 in one import. */
export * from './authentication.js';
export * from './configuration.js';
export * from './message.js';
export * from './notify.js';
export * from './registry.js';
export * from './transform.js';
