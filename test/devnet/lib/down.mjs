// `devnet down`: the rooms end, and with them their processes, links, mounts and namespaces; then the files
// go.

import { removeFolders } from "./instance.mjs";
import { destroyRooms } from "./room.mjs";

export async function down(instance, options) {
  await destroyRooms(instance);
  removeFolders(instance, options);
}
