/** The Link of the kernel. */
import { native } from "./addon.js";
import { openDevice } from "./device.js";
import * as setup from "./device-setup.js";
import { attempt } from "./errors.js";
import { disabledFeatures, probeFeatures } from "./features.js";
import { KernelIo } from "./io.js";
import type { Features, Link } from "./link.js";
import { lockUdpPort, openUdp } from "./udp.js";

function createKernelLink(): Link {
  let known: Features | undefined;
  const features = (): Features => {
    known ??= probeFeatures();
    return known;
  };
  return {
    kind: "kernel",
    features,
    openDevice: (spec) => openDevice(spec, features),
    placeDevice: setup.placeDevice,
    configureDevice: setup.configureDevice,
    deleteDevice: setup.deleteDevice,
    findTap: setup.findTap,
    deviceStats: (device) => setup.deviceStats(device, features().tunGetDevNetns),
    openUdp: (spec) => openUdp(spec, features()),
    lockUdpPort,
    underlayInterface: setup.underlayInterface,
    defaultSources: setup.defaultSources,
    // Workers do not probe: a kernel without UDP_SEGMENT refuses it and the Io sends single datagrams.
    createIo: (memory, worker) => new KernelIo(memory, worker, !disabledFeatures().has("gso")),
    wake: (handle) => attempt("cannot wake a worker", () => native().wake(handle)),
  };
}

let link: Link | undefined;

/** The one Link of this thread. Nothing is opened or probed before it is used. */
export function kernelLink(): Link {
  link ??= createKernelLink();
  return link;
}
