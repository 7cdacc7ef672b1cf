/** What to say about VXLAN that was refused: one sentence, with what to do. */
export function refusedText({ source, vni, network }: { source: string; vni: number; network: string | null }): string {
  return network === null
    ? `VXLAN from ${source} for VNI ${vni} refused: no network here has this VNI`
    : `VXLAN from ${source} for VNI ${vni} refused: no VTEP of network ${network} (add it: in a mesh with \`weft network add-vtep\`, else to the network's vteps or with --vtep)`;
}
