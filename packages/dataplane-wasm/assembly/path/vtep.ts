/** Copies to a VTEP, whichever way it is reached: in clear, or through the tunnel. */
import { RxDesc, VTEP_TUNNEL, Worker } from "../abi.gen";
import { vtep } from "../table/config";
import * as deliver from "./deliver";
import * as seal from "./seal";

/** True when what goes to the VTEP is sealed, or dropped. */
export function isTunnel(w: Worker, index: u32): bool {
  return (vtep(w, index).flags & VTEP_TUNNEL) != 0;
}

/** One copy, after deliver.encapsulate(). */
export function send(w: Worker, d: RxDesc, index: u32): void {
  if (isTunnel(w, index)) seal.toVtep(w, d, index);
  else deliver.toVtep(w, d, index);
}
