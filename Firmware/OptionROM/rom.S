# The BIOS part of core sequestration (paper section 3) as a PC option ROM, for machines whose BIOS cannot be changed. A
# stock BIOS runs it once, after it has made its tables and parked the other cores, and before any OS. It
#
#   1. checks that the memory to hide is usable memory by the BIOS's own map,
#   2. puts the image that it carries there, and starts the core on it with INIT and SIPI,
#   3. once the core reports from there: deletes the core from the MADT, the SRAT, the MP configuration table and the
#      ACPI name space, and
#   4. cuts the memory out of what INT 15h tells (E820 and E801).
#
# A core that does not report leaves the machine as it was. What stays behind is the INT 15h hook in the first RESIDENT
# bytes; the image is wiped from the ROM's own memory.
#
# GNU as, 16- and 32-bit x86. Every address inside the ROM is an offset from _start: the BIOS chooses the place.

.include "layout.inc"

.equ BLOCKS, ROM_SIZE / 512
.equ HIDDEN_END, HIDDEN_BASE + HIDDEN_SIZE
.equ APIC, 0xFEE00000                 # local APIC, where cores find theirs after reset
.equ APIC_ICR_LOW, 0x300
.equ APIC_ICR_HIGH, 0x310
.equ CONTINUATION, 0xA117             # marks an E820 continuation of ours; BIOSes count entries from 0

# Selectors while in protected mode.
.equ CODE32, 0x08
.equ DATA32, 0x10
.equ CODE16, 0x18
.equ DATA16, 0x20

.text
.code16
.globl _start
_start:
    .byte 0x55, 0xAA, BLOCKS
    jmp initialize
    .org 0x18
    .word 0, 0                        # neither a PCI data structure nor a PnP header

# --- The resident part: INT 15h -------------------------------------------------------------------------------------

    .balign 4
previous: .long 0                     # the BIOS's handler, segment:offset

interrupt15:
    cmpl $0xE820, %eax
    je memoryMapEntry
    cmpw $0xE801, %ax
    je extendedMemory
    ljmpw *%cs:previous - _start

# AX = 0xE801: memory above 16 MiB in 64 KiB units, in BX and DX. It ends where hidden memory begins.
extendedMemory:
    pushfw
    lcallw *%cs:previous - _start
    jc return
    .equ LIMIT, (HIDDEN_BASE - 0x1000000) >> 16
    cmpw $LIMIT, %bx
    jbe 1f
    movw $LIMIT, %bx
1:  cmpw $LIMIT, %dx
    jbe 2f
    movw $LIMIT, %dx
2:  clc
# Returns to whoever called the interrupt with the carry flag as it is, and the other flags as they were there.
return:
    pushw %bp
    movw %sp, %bp
    jc 1f
    andw $0xFFFE, 6(%bp)
    popw %bp
    iretw
1:  orw $1, 6(%bp)
    popw %bp
    iretw

# EAX = 0xE820: one entry at ES:DI, and in EBX what to ask with for the next. The usable entry that holds hidden memory is
# given out in two pieces: for the second, EBX carries CONTINUATION above the BIOS's own value for the whole entry.
# Nothing is remembered between calls, because the BIOS makes this memory read-only.
memoryMapEntry:
    pushl %esi
    pushl %ebx
    shrl $16, %ebx
    xorl %esi, %esi
    cmpw $CONTINUATION, %bx
    popl %ebx
    jne 1f
    incl %esi                         # the second piece is asked for
    movzwl %bx, %ebx
1:  pushl %ebx                        # the BIOS's value for this entry
    pushfw
    lcallw *%cs:previous - _start
    jc 5f
    # A usable entry [base, base + length) below 4 GiB at its start, with base <= HIDDEN_BASE and HIDDEN_END <= its end?
    cmpl $1, %es:16(%di)
    jne 4f
    cmpl $0, %es:4(%di)
    jne 4f
    cmpl $HIDDEN_BASE, %es:(%di)
    ja 4f
    pushl %edx
    pushl %ecx
    movl %es:(%di), %edx
    xorl %ecx, %ecx
    addl %es:8(%di), %edx
    adcl %es:12(%di), %ecx            # the end, in ECX:EDX
    jnz 2f                            # above 4 GiB
    cmpl $HIDDEN_END, %edx
    jb 3f                             # ends inside or before hidden memory
2:  testl %esi, %esi
    jnz secondPiece
    # The first piece, [base, HIDDEN_BASE). What follows it is asked for with the mark.
    movl $HIDDEN_BASE, %edx
    subl %es:(%di), %edx
    movl %edx, %es:8(%di)
    movl $0, %es:12(%di)
    popl %ecx
    popl %edx
    popl %ebx
    orl $CONTINUATION << 16, %ebx
    popl %esi
    clc
    jmp return
secondPiece:                          # [HIDDEN_END, end)
    movl $HIDDEN_END, %es:(%di)
    subl $HIDDEN_END, %edx
    sbbl $0, %ecx
    movl %edx, %es:8(%di)
    movl %ecx, %es:12(%di)
3:  popl %ecx
    popl %edx
4:  addw $4, %sp                      # the BIOS's next value in EBX stands
    popl %esi
    clc
    jmp return
5:  addw $4, %sp
    popl %esi
    stc
    jmp return

    .org RESIDENT - 1                 # refused by the assembler if the resident part is longer
    .byte 0                           # makes the resident part's bytes add up to 0, once it is on its own

# --- The part that runs once ----------------------------------------------------------------------------------------

initialize:
    pushal
    pushw %ds
    pushw %es
    pushw %fs
    pushw %gs
    pushfw
    cli
    cld
    pushw %cs
    popw %ds
    call describe

    # 1. A usable entry that holds all hidden memory?
    subw $24, %sp
    pushw %ss
    popw %es
    movw %sp, %di
    xorl %ebx, %ebx
1:  movl $0xE820, %eax
    movl $0x534D4150, %edx            # "SMAP"
    movl $20, %ecx
    int $0x15
    jc 3f
    cmpl $0x534D4150, %eax
    jne 3f
    cmpl $1, %es:16(%di)
    jne 2f
    cmpl $0, %es:4(%di)
    jne 2f
    cmpl $HIDDEN_BASE, %es:(%di)
    ja 2f
    movl %es:(%di), %edx
    xorl %ecx, %ecx
    addl %es:8(%di), %edx
    adcl %es:12(%di), %ecx
    jnz 4f
    cmpl $HIDDEN_END, %edx
    jae 4f
2:  testl %ebx, %ebx
    jnz 1b
3:  addw $24, %sp
    movw $noMemory - _start, %si
    jmp leave
4:  addw $24, %sp

    # 2. and 3. are done in protected mode, where all memory can be reached. It borrows the BIOS's stack, of which it
    # knows the linear address.
    xorl %eax, %eax
    movw %ss, %ax
    movw %ax, stackSegment - _start
    shll $4, %eax
    movzwl %sp, %esp
    addl %eax, %esp
    movl %eax, stackBase - _start
    xorl %ebp, %ebp
    movw %cs, %bp
    shll $4, %ebp                     # EBP: where _start is
    lgdtl gdtPointer - _start
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl *enter32 - _start

    .code32
protected:
    movw $DATA32, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    call startCore
    testl %eax, %eax
    jz 1f
    call editTables
    call wipeImage
    movl $1, %eax
1:  movl %eax, %ebx
    # Back: 16-bit segments first, then real mode.
    subl stackBase - _start(%ebp), %esp
    ljmpl *leave32 - _start(%ebp)

    .code16
protected16:
    movw $DATA16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl %cr0, %eax
    andb $0xFE, %al
    movl %eax, %cr0
    ljmpw *%cs:enterReal - _start
real:
    movw %cs, %ax
    movw %ax, %ds
    movw stackSegment - _start, %ss
    movw $noStart - _start, %si
    testl %ebx, %ebx
    jz leave

    # 4. The hook.
    xorw %ax, %ax
    movw %ax, %es
    movl %es:0x15 * 4, %eax
    movl %eax, previous - _start
    movw $interrupt15 - _start, %es:0x15 * 4
    movw %cs, %es:0x15 * 4 + 2

    # From here on the ROM is its resident part, with a checksum of its own.
    movb $RESIDENT / 512, 2
    movb $0, RESIDENT - 1
    xorb %al, %al
    xorw %si, %si
5:  subb (%si), %al
    incw %si
    cmpw $RESIDENT, %si
    jb 5b
    movb %al, RESIDENT - 1
    movw $done - _start, %si
leave:
    call print
    popfw
    popw %gs
    popw %fs
    popw %es
    popw %ds
    popal
    xorw %ax, %ax
    lretw

# Fills in what depends on where the BIOS put the ROM.
describe:
    xorl %eax, %eax
    movw %cs, %ax
    movw %ax, enterReal + 2 - _start
    shll $4, %eax
    leal gdt - _start(%eax), %ebx
    movl %ebx, gdtPointer + 2 - _start
    leal protected - _start(%eax), %ebx
    movl %ebx, enter32 - _start
    # The 16-bit code segment begins where the ROM does.
    movw %ax, code16 + 2 - _start
    movw %ax, data16 + 2 - _start
    movl %eax, %ebx
    shrl $16, %ebx
    movb %bl, code16 + 4 - _start
    movb %bl, data16 + 4 - _start
    ret

# Prints the line at SI through the BIOS.
print:
    lodsb
    testb %al, %al
    jz 1f
    movb $0x0E, %ah
    movw $7, %bx
    pushw %si
    int $0x10
    popw %si
    jmp print
1:  ret

done:     .asciz "ally: core and memory are sequestered\r\n"
noMemory: .asciz "ally: the memory to hide is not usable memory, nothing is hidden\r\n"
noStart:  .asciz "ally: the core did not start, nothing is hidden\r\n"

# --- Protected mode: starting the core ------------------------------------------------------------------------------

    .code32

# Copies the image to hidden memory, and starts the core there. EAX: 1 when it reports, else 0.
startCore:
    # The report, and all memory that the image does not fill, begins as zeros.
    movl $HIDDEN_BASE, %edi
    movl $HIDDEN_SIZE / 4, %ecx
    xorl %eax, %eax
    rep stosl
    leal image - _start(%ebp), %esi
    movl $HIDDEN_BASE + IMAGE_OFFSET, %edi
    movl $IMAGE_SIZE, %ecx
    rep movsb

    # A core begins in real mode at a page below 1 MiB: the second page boundary inside this ROM, over the image, which
    # is copied by now.
    leal image - _start + 0xFFF(%ebp), %ebx
    andl $0xFFFFF000, %ebx
    leal trampoline - _start(%ebp), %esi
    movl %ebx, %edi
    movl $trampolineEnd - trampoline, %ecx
    rep movsb
    leal trampolineGDT - trampoline(%ebx), %eax
    movl %eax, trampolineGDTPointer - trampoline + 2(%ebx)

    # INIT, 10 ms, SIPI, and once more SIPI after 200 us (Intel 64 SDM volume 3, section 9.4.4.1; a core that
    # runs already takes no notice of the second).
    movl $APIC, %edi
    movl $CORE << 24, APIC_ICR_HIGH(%edi)
    movl $0x4500, APIC_ICR_LOW(%edi)
    movl $10000, %ecx
    call delay
    shrl $12, %ebx
    orl $0x4600, %ebx
    movl $CORE << 24, APIC_ICR_HIGH(%edi)
    movl %ebx, APIC_ICR_LOW(%edi)
    movl $200, %ecx
    call delay
    cmpl $0, HIDDEN_BASE + REPORT_OFFSET + REPORT_MAGIC
    jne 1f
    movl $CORE << 24, APIC_ICR_HIGH(%edi)
    movl %ebx, APIC_ICR_LOW(%edi)

    # Two seconds for the image to report.
1:  movl $2000, %edx
2:  movl $1000, %ecx
    call delay
    cmpl $0, HIDDEN_BASE + REPORT_OFFSET + REPORT_MAGIC
    jne 3f
    decl %edx
    jnz 2b
    # Whatever the core does now, it does not do it in memory that goes to the OS.
    movl $CORE << 24, APIC_ICR_HIGH(%edi)
    movl $0x4500, APIC_ICR_LOW(%edi)
    xorl %eax, %eax
    ret
3:  movl $1, %eax
    ret

# Waits about ECX microseconds: an access to port 0x80 takes one on the ISA bus, and an emulator lets other cores run.
delay:
    outb %al, $0x80
    pause
    loop delay
    ret

wipeImage:
    leal image - _start(%ebp), %edi
    movl $IMAGE_SIZE, %ecx
    xorl %eax, %eax
    rep stosb
    ret

# --- Protected mode: the tables -------------------------------------------------------------------------------------

editTables:
    call findRootPointer
    testl %esi, %esi
    jz 1f
    pushl %esi
    movl 16(%esi), %ebx               # the RSDT
    movl $4, %edx
    call editRootTable
    popl %esi
    cmpb $2, 15(%esi)                 # revision 2: the XSDT too
    jb 1f
    cmpl $0, 28(%esi)
    jne 1f                            # above 4 GiB, out of reach here
    movl 24(%esi), %ebx
    movl $8, %edx
    call editRootTable
1:  jmp editMPTable

# ESI: the RSDP, or 0.
findRootPointer:
    movl $0xE0000, %esi
1:  cmpl $0x20445352, (%esi)          # "RSD "
    jne 2f
    cmpl $0x20525450, 4(%esi)         # "PTR "
    jne 2f
    movl $20, %ecx
    call sum
    jz 3f
2:  addl $16, %esi
    cmpl $0x100000, %esi
    jb 1b
    xorl %esi, %esi
3:  ret

# AL and ZF: the sum of ECX bytes at ESI.
sum:
    pushl %esi
    xorb %al, %al
    jecxz 2f
1:  addb (%esi), %al
    incl %esi
    decl %ecx
    jnz 1b
2:  popl %esi
    testb %al, %al
    ret

# EBX: an RSDT or XSDT, or 0. EDX: the bytes of an address in it.
editRootTable:
    testl %ebx, %ebx
    jz 4f
    leal 36(%ebx), %esi
    movl 4(%ebx), %edi
    addl %ebx, %edi                   # the table's end
1:  cmpl %edi, %esi
    jae 4f
    movl (%esi), %ebx
    cmpl $8, %edx
    jne 2f
    cmpl $0, 4(%esi)
    jne 3f
2:  pushal
    call editTable
    popal
3:  addl %edx, %esi
    jmp 1b
4:  ret

# EBX: any ACPI table.
editTable:
    movl $0x43495041, %eax            # "APIC"
    movl $44, %esi
    cmpl %eax, (%ebx)
    je editEntries
    movl $0x54415253, %eax            # "SRAT"
    movl $48, %esi
    cmpl %eax, (%ebx)
    je editEntries
    cmpl $0x50434146, (%ebx)          # "FACP": names the DSDT
    je editFixedTable
    cmpl $0x54445353, (%ebx)          # "SSDT": more of the name space
    je editNameSpace
    ret

# EBX: a table whose entries begin ESI bytes into it with type and length. Deletes those of the core.
editEntries:
    addl %ebx, %esi
1:  movl 4(%ebx), %edi
    addl %ebx, %edi                   # the end
    leal 2(%esi), %eax
    cmpl %edi, %eax
    ja 3f
    movzbl 1(%esi), %ecx
    cmpl $2, %ecx
    jb 3f                             # would stand still
    leal (%esi,%ecx), %eax
    cmpl %edi, %eax
    ja 3f                             # reaches beyond the table
    call isOfCore
    jne 2f
    call deleteEntry
    jmp 1b
2:  addl %ecx, %esi
    jmp 1b
3:  jmp balance

# ZF: whether the entry at ESI of the table EBX is the core's.
isOfCore:
    cmpl $0x54415253, (%ebx)
    je 2f
    cmpb $0, (%esi)                   # MADT: local APIC
    jne 1f
    cmpb $CORE, 3(%esi)
    ret
1:  cmpb $9, (%esi)                   # MADT: local x2APIC
    jne 4f
    cmpl $CORE, 4(%esi)
    ret
2:  cmpb $0, (%esi)                   # SRAT: local APIC
    jne 3f
    cmpb $CORE, 3(%esi)
    ret
3:  cmpb $2, (%esi)                   # SRAT: local x2APIC
    jne 4f
    cmpl $CORE, 8(%esi)
4:  ret

# Moves what follows the ECX bytes at ESI, up to EDI, down over them, fills up with zeros, and shortens the table EBX.
deleteEntry:
    pushal
    subl %ecx, 4(%ebx)
    movl %ecx, %edx
    movl %edi, %ecx
    subl %esi, %ecx
    subl %edx, %ecx                   # bytes that follow
    movl %esi, %edi
    addl %edx, %esi
    rep movsb
    movl %edx, %ecx
    xorb %al, %al
    rep stosb
    popal
    ret

# Makes the bytes of the ACPI table EBX add up to 0.
balance:
    movb $0, 9(%ebx)
    movl %ebx, %esi
    movl 4(%ebx), %ecx
    call sum
    negb %al
    movb %al, 9(%ebx)
    ret

editFixedTable:
    movl 40(%ebx), %ebx               # the DSDT
    testl %ebx, %ebx
    jz 1f
    cmpl $0x54445344, (%ebx)          # "DSDT"
    je editNameSpace
1:  ret

# The core's device in the ACPI name space says whether it is there by asking the emulator's hot-plug controller: its
# _STA is "Return (CSTA (n))". Made "Return (Zero)", with the bytes left over as no-operations, the device is absent. A BIOS
# that builds its own name space leaves the device out instead.
editNameSpace:
    movl 4(%ebx), %edx
    addl %ebx, %edx
    leal 36(%ebx), %esi
1:  leal 7(%esi), %eax
    cmpl %edx, %eax
    ja 3f
    cmpb $0xA4, (%esi)                # ReturnOp
    jne 2f
    cmpl $0x41545343, 1(%esi)         # "CSTA"
    jne 2f
    # Zero and One have operators of their own; other bytes follow a BytePrefix.
.if CORE >= 2
    cmpw $CORE << 8 | 0x0A, 5(%esi)
    jne 2f
    movb $0xA3, 6(%esi)
.else
    cmpb $CORE, 5(%esi)
    jne 2f
.endif
    movb $0x00, 1(%esi)
    movl $0xA3A3A3A3, 2(%esi)
2:  incl %esi
    jmp 1b
3:  jmp balance

# The MP configuration table (MultiProcessor Specification 1.4, section 4.2).
editMPTable:
    movl $0xE0000, %esi
1:  cmpl $0x5F504D5F, (%esi)          # "_MP_"
    jne 2f
    movl $16, %ecx
    call sum
    jz 3f
2:  addl $16, %esi
    cmpl $0x100000, %esi
    jb 1b
    ret
3:  movl 4(%esi), %ebx
    testl %ebx, %ebx
    jz 9f
    cmpl $0x504D4350, (%ebx)          # "PCMP"
    jne 9f
    leal 44(%ebx), %esi
    movzwl 34(%ebx), %edx             # entries to look at
4:  testl %edx, %edx
    jz 8f
    decl %edx
    movl $8, %ecx
    cmpb $0, (%esi)                   # a core
    jne 5f
    movl $20, %ecx
5:  movzwl 4(%ebx), %edi
    addl %ebx, %edi                   # where the entries end
    leal (%esi,%ecx), %eax
    cmpl %edi, %eax
    ja 8f
    cmpb $0, (%esi)
    jne 6f
    cmpb $CORE, 1(%esi)
    je 7f
6:  cmpb $4, (%esi)                   # a core's own interrupt pin
    jne 61f
    cmpb $CORE, 6(%esi)
    je 7f
61: addl %ecx, %esi
    jmp 4b
7:  movzwl 40(%ebx), %eax             # the extended table, behind the entries, moves along
    addl %eax, %edi
    decw 34(%ebx)
    # The length has 16 bits here: nothing is borrowed from the bytes above, as it is longer than the entry.
    call deleteEntry
    jmp 4b
8:  movb $0, 7(%ebx)
    movl %ebx, %esi
    movzwl 4(%ebx), %ecx
    call sum
    negb %al
    movb %al, 7(%ebx)
9:  ret

# --- Where the core begins ------------------------------------------------------------------------------------------

    .code16
trampoline:
    cli
    movw %cs, %ax
    movw %ax, %ds
    lgdtl trampolineGDTPointer - trampoline
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $CODE32, $HIDDEN_BASE + IMAGE_OFFSET
    .balign 8
trampolineGDT:
    .quad 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF
trampolineGDTPointer:
    .word 23
    .long 0
trampolineEnd:

    .balign 8
gdt:
    .quad 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF
code16: .quad 0x00009A000000FFFF
data16: .quad 0x000092000000FFFF
gdtPointer:
    .word . - gdt - 1
    .long 0
enter32:
    .long 0
    .word CODE32
leave32:
    .long protected16 - _start
    .word CODE16
enterReal:
    .word real - _start
    .word 0
stackBase:    .long 0
stackSegment: .word 0

    .balign 16
image:
    .incbin "image.bin"
imageEnd:

.section .note.GNU-stack, "", @progbits
