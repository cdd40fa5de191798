// How the entries of `declare` become an operator's declaration: each is a Field, described once for the host and opened once
// per instance. States, ports, timers, metrics and inputs are fields.

import { describeError, Fatal } from './errors.js';

/** Version of the format, wit/descriptor.schema.json. */
export const DESCRIPTOR_VERSION = 1;
const NAME = /^[A-Za-z0-9_-]+$/;

/** A declared entry: what list of the descriptor it stands in, what its entry says, and how its handle is made. */
export class Field {
  constructor(section, entry, name, open) {
    this.section = section;
    this.entry = entry;
    this.givenName = name;
    this.open = open;
  }
}

/** `dayEnd` and `day_end` are called `day-end` outside. */
function outsideName(attribute) {
  return attribute.replace(/([a-z0-9])([A-Z])/g, '$1-$2').toLowerCase().replaceAll('_', '-');
}

/** [attribute, name, field], in order. */
export function fieldsOf(definition) {
  return Object.entries(definition.declare ?? {}).map(([attribute, field]) => {
    if (!(field instanceof Field)) {
      throw new Fatal(`operator \`${definition.name}\`: declare.${attribute} is no state, port, timer, metric or input`);
    }
    return [attribute, field.givenName ?? outsideName(attribute), field];
  });
}

/** What the host gets from `describe`. Names that clash or cannot be written are the author's error. */
export function describe(definition, wantsWatermarks) {
  const { name, version = '', configSchema } = definition;
  if (typeof name !== 'string' || name === '') throw new Fatal('an operator needs a name: defineOperator({ name: "..." })');
  const lists = { inputs: [], outputs: [], states: [], timers: [], metrics: [] };
  for (const [, outside, field] of fieldsOf(definition)) lists[field.section].push({ name: outside, ...field.entry });
  if (lists.inputs.length === 0) lists.inputs.push({ name: 'events' });
  for (const [section, entries] of Object.entries(lists)) {
    const seen = new Set();
    for (const entry of entries) {
      if (!NAME.test(entry.name)) {
        throw new Fatal(`operator \`${name}\`: ${section} cannot have the name ${entry.name}: letters, digits, - and _ can`);
      }
      if (seen.has(entry.name)) {
        throw new Fatal(`operator \`${name}\` declares two ${section} named \`${entry.name}\`; give one another name`);
      }
      seen.add(entry.name);
    }
  }
  const descriptor = { descriptor: DESCRIPTOR_VERSION, name, version, ...lists, wants: { watermarks: wantsWatermarks } };
  if (configSchema !== undefined) descriptor.config = configSchema;
  return descriptor;
}

/** Makes the handles: an object with one per field, and the configuration and context beside them. */
export function openFields(definition, call, configText) {
  const handles = { config: readConfig(definition, configText), context: new Context(call) };
  const next = {};
  for (const [attribute, name, field] of fieldsOf(definition)) {
    if (attribute in handles) throw new Fatal(`operator \`${definition.name}\`: declare.${attribute} is taken; rename it`);
    const index = next[field.section] ?? 0;
    next[field.section] = index + 1;
    const handle = field.open(call, name, index);
    handles[attribute] = handle;
    if (typeof handle.writeBack === 'function') call.parts.push(handle);
  }
  return handles;
}

function readConfig(definition, text) {
  try {
    const config = JSON.parse(text.trim() || '{}') ?? {};
    return definition.config ? definition.config(config) : config;
  } catch (error) {
    throw new Fatal(
      `the configuration of operator \`${definition.name}\` does not fit: ${describeError(error)}; mend its \`config\` in the ` +
        `pipeline file (it was ${text})`,
    );
  }
}

/**
 * Reads a configuration of this shape, for `config`: a type (Number, String, Boolean) is a setting that has to be there, a
 * value one with a default. Unknown names and values of other types are refused.
 */
export function settings(shape) {
  return (config) => {
    if (typeof config !== 'object' || config === null || Array.isArray(config)) throw new TypeError('it is no table');
    for (const name of Object.keys(config)) {
      if (!Object.hasOwn(shape, name)) {
        throw new TypeError(`unknown field \`${name}\`; there are: ${Object.keys(shape).join(', ')}`);
      }
    }
    const read = {};
    for (const [name, wanted] of Object.entries(shape)) {
      const needed = typeof wanted === 'function';
      const type = needed ? wanted.name.toLowerCase() : typeof wanted;
      if (!Object.hasOwn(config, name)) {
        if (needed) throw new TypeError(`missing field \`${name}\``);
        read[name] = wanted;
        continue;
      }
      read[name] = config[name];
      if (typeof read[name] !== type) throw new TypeError(`\`${name}\` is ${JSON.stringify(read[name])}, no ${type}`);
    }
    return read;
  };
}

/** Where and when a call runs: logical values, the same again on replay. */
class Context {
  #call;

  constructor(call) {
    this.#call = call;
  }

  /** The call's processing time, ms. */
  nowMs() {
    return this.#call.host.nowMs();
  }

  /** Which copy of the operator this is. */
  subtask() {
    return this.#call.host.subtask();
  }
}
