#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "CAllyLinux.h"

static int keep_code(int socket) {
  int code = errno;
  close(socket);
  errno = code;
  return -1;
}

int ally_packet_socket(const char *name, int *index, int *kind) {
  struct ifreq request = {0};
  if (strlen(name) >= IFNAMSIZ) {
    errno = ENODEV;
    return -1;
  }
  strcpy(request.ifr_name, name);
  // Protocol 0: nothing is heard until the socket is bound, so that no frame of another interface comes in.
  int packets = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (packets < 0) return -1;
  if (ioctl(packets, SIOCGIFINDEX, &request) < 0) return keep_code(packets);
  *index = request.ifr_ifindex;
  if (ioctl(packets, SIOCGIFHWADDR, &request) < 0) return keep_code(packets);
  *kind = request.ifr_hwaddr.sa_family;
  return packets;
}

int ally_packet_bind(int socket, int index) {
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index};
  return bind(socket, (struct sockaddr *)&address, sizeof address);
}

int ally_packet_promiscuous(int socket, int index) {
  struct packet_mreq request = {.mr_ifindex = index, .mr_type = PACKET_MR_PROMISC};
  return setsockopt(socket, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request);
}

int ally_packet_ring(int socket, unsigned size, unsigned count, unsigned milliseconds, unsigned longest) {
  int version = TPACKET_V3;
  if (setsockopt(socket, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0) return -1;
  unsigned room = 4;
  if (setsockopt(socket, SOL_PACKET, PACKET_RESERVE, &room, sizeof room) < 0) return -1;
  // A program of one instruction: how many bytes are kept.
  struct sock_filter keep = BPF_STMT(BPF_RET | BPF_K, longest);
  struct sock_fprog program = {1, &keep};
  if (setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0) return -1;
  struct tpacket_req3 request = {
      .tp_block_size = size,
      .tp_block_nr = count,
      .tp_frame_size = 2048,
      .tp_frame_nr = size / 2048 * count,
      .tp_retire_blk_tov = milliseconds,
  };
  return setsockopt(socket, SOL_PACKET, PACKET_RX_RING, &request, sizeof request);
}

int ally_packet_counts(int socket, uint32_t *frames, uint32_t *dropped) {
  struct tpacket_stats_v3 statistics = {0};
  socklen_t length = sizeof statistics;
  if (getsockopt(socket, SOL_PACKET, PACKET_STATISTICS, &statistics, &length) < 0) return -1;
  *frames = statistics.tp_packets;
  *dropped = statistics.tp_drops;
  return 0;
}

int ally_socket_error(int socket) {
  int code = 0;
  socklen_t length = sizeof code;
  return getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &length) < 0 ? errno : code;
}

int ally_packet_offloads(int socket) {
  int yes = 1;
  if (setsockopt(socket, SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof yes) < 0) return -1;
  if (setsockopt(socket, SOL_PACKET, PACKET_AUXDATA, &yes, sizeof yes) < 0) return -1;
  return setsockopt(socket, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes);
}

ssize_t ally_packet_receive(int socket, void *header, void *buffer, size_t length, uint32_t *tag) {
  union {
    char bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
    struct cmsghdr header;
  } control;
  struct iovec parts[2] = {{header, 10}, {buffer, length}};
  struct msghdr message = {
      .msg_iov = parts, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  *tag = 0;
  ssize_t received = recvmsg(socket, &message, MSG_DONTWAIT);
  if (received < 0) return received;
  for (struct cmsghdr *item = CMSG_FIRSTHDR(&message); item; item = CMSG_NXTHDR(&message, item)) {
    if (item->cmsg_level != SOL_PACKET || item->cmsg_type != PACKET_AUXDATA) continue;
    struct tpacket_auxdata found;
    memcpy(&found, CMSG_DATA(item), sizeof found);
    if (!(found.tp_status & TP_STATUS_VLAN_VALID)) continue;
    uint32_t kind = found.tp_status & TP_STATUS_VLAN_TPID_VALID ? found.tp_vlan_tpid : ETH_P_8021Q;
    *tag = kind << 16 | found.tp_vlan_tci;
  }
  return received < 10 ? 0 : received - 10;
}

ssize_t ally_packet_send(int socket, const void *buffer, size_t length) {
  static const char header[10];
  struct iovec parts[2] = {{(void *)header, sizeof header}, {(void *)buffer, length}};
  ssize_t sent = writev(socket, parts, 2);
  return sent < 0 ? sent : sent - 10;
}
