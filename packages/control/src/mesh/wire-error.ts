/** A message that is not one. Whoever sent it speaks another protocol or means harm: the channel is closed. */
export class WireError extends Error {
  override readonly name = "WireError";
}
