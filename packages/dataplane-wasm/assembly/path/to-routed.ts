/** What layer-3 ports get: IP packets, whose Ethernet header stays behind (deliver.skipOf). */
import {
  COUNT_CONSUMED_EGRESS, COUNT_CONSUMED_INGRESS, DROP_L3_NOT_IP, ETH_LEN, PLANE_EGRESS, PORT_ROUTED, RxDesc, Worker,
} from "../abi.gen";
import { port } from "../table/config";
import * as eth from "../wire/ethernet";
import * as answer from "./answer";
import { add, drop } from "./verdict";

/** An untagged IP packet. */
function isIp(d: RxDesc): bool {
  return d.ipVersion != 0 && <u32>d.l3Off == ETH_LEN;
}

/** True when a flooded frame has a copy for the port: to a layer-3 port go IP packets for a group. */
export function takesCopy(w: Worker, d: RxDesc, index: u32): bool {
  if ((port(w, index).flags & PORT_ROUTED) == 0) return true;
  return isIp(d) && eth.isGroup(eth.dst(<usize>d.frame)) && !answer.isResolution(d);
}

/** True when a frame may go to the port, whose MAC it is for. False: it has ended here. */
export function admit(w: Worker, d: RxDesc, index: u32): bool {
  if ((port(w, index).flags & PORT_ROUTED) == 0) return true;
  if (answer.isResolution(d)) {
    // An answer to a question of ours (learned from already), or a question that is none.
    add(w, <u32>d.plane == PLANE_EGRESS ? COUNT_CONSUMED_EGRESS : COUNT_CONSUMED_INGRESS, 1);
    return false;
  }
  if (isIp(d)) return true;
  drop(w, d.plane, DROP_L3_NOT_IP);
  return false;
}
