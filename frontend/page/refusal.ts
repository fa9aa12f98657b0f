// Why a file or a device cannot be used. Knows keys of sentences, not their words.

export type Details = Record<string, string | number>;

export class Refusal extends Error {
  constructor(
    readonly reason: string,
    readonly details: Details = {},
  ) {
    super(reason);
  }
}
